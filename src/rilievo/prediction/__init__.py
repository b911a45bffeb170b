"""What a user does with an answer: ``rilievo.Prediction``, saved and read back."""

from rilievo.prediction.prediction import Prediction as Prediction
