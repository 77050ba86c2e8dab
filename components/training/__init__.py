"""Training: the engine and the data for pretraining and fine-tuning."""
