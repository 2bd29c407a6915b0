from .adapters import from_equinox as from_equinox
from .adapters import from_functions as from_functions
from .adapters import from_nnx as from_nnx
from .layers.bottleneck import Bottleneck as Bottleneck
from .layers.bottleneck import Bottlenecked as Bottlenecked
from .layers.recurrent import GRU as GRU
from .layers.recurrent import LSTM as LSTM
from .layers.recurrent import RHN as RHN
from .layers.recurrent import Bidirectional as Bidirectional
from .losses import cross_entropy as cross_entropy
from .losses import largest_hinge as largest_hinge
from .losses import mean_squared_error as mean_squared_error
from .losses import multiclass_hinge as multiclass_hinge
from .losses import vc_penalty as vc_penalty
from .parameters import parameter_count as parameter_count
from .preactivations import apply_with_preactivations as apply_with_preactivations
from .sequence.language import CharacterLanguageModel as CharacterLanguageModel
from .sequence.language import LanguageModel as LanguageModel
from .sequence.language import WordLanguageModel as WordLanguageModel
from .sequence.speech import AttentionSpeech as AttentionSpeech
from .sequence.speech import DeepSpeech as DeepSpeech
from .sequence.translation import Translation as Translation
from .sequence_losses import character_mistakes as character_mistakes
from .sequence_losses import ctc as ctc
from .sequence_losses import ctc_feasible as ctc_feasible
from .sequence_losses import edit_distance as edit_distance
from .sequence_losses import token_cross_entropy as token_cross_entropy
from .sequence_losses import token_mistakes as token_mistakes
from .sequence_losses import tokens_of as tokens_of
from .vision.alexnet import AlexNet as AlexNet
from .vision.alexnet import SmallAlexNet as SmallAlexNet
from .vision.densenet import DenseNet as DenseNet
from .vision.driving import DrivingNet as DrivingNet
from .vision.inception import InceptionV3 as InceptionV3
from .vision.inception import SmallInception as SmallInception
from .vision.lenet import LeNet as LeNet
from .vision.mlp import MLP as MLP
from .vision.quicknet import QuickNet as QuickNet
from .vision.resnet import ResNet as ResNet
from .vision.resnet import resnet as resnet
from .vision.vgg import VGG as VGG
from .vision.vgg import VGG11 as VGG11
from .vision.vgg import VGG16 as VGG16
from .vision.vgg import VGG19 as VGG19

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "RHN",
    "VGG",
    "VGG11",
    "VGG16",
    "VGG19",
    "AlexNet",
    "AttentionSpeech",
    "Bidirectional",
    "Bottleneck",
    "Bottlenecked",
    "CharacterLanguageModel",
    "DeepSpeech",
    "DenseNet",
    "DrivingNet",
    "InceptionV3",
    "LanguageModel",
    "LeNet",
    "QuickNet",
    "ResNet",
    "SmallAlexNet",
    "SmallInception",
    "Translation",
    "WordLanguageModel",
    "apply_with_preactivations",
    "character_mistakes",
    "cross_entropy",
    "ctc",
    "ctc_feasible",
    "edit_distance",
    "from_equinox",
    "from_functions",
    "from_nnx",
    "largest_hinge",
    "mean_squared_error",
    "multiclass_hinge",
    "parameter_count",
    "resnet",
    "token_cross_entropy",
    "token_mistakes",
    "tokens_of",
    "vc_penalty",
]
