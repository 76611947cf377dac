"""Hyperparameter search for the models of the zoo, on Keras Tuner.

Importing this package loads neither Keras nor TensorFlow; the first use of a name does. The names
are in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
