"""Losses: functions of predictions and ground truth that training minimises."""
