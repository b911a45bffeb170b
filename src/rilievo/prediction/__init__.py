"""``rilievo.Prediction``: measured, shown, saved and read back."""

from rilievo.prediction.prediction import Prediction as Prediction
