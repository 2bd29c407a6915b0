"""Plans of data collection, compared on the learning curves of LCDB."""
