"""Automatic retraining: the policy, the watcher of data, deployments and notifications."""
