from .fit import fit_two_way as fit_two_way

__all__ = ["fit_two_way"]
