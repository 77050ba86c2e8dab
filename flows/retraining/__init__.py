"""When a model is trained again: the policy, the watch on data, deployments and notifications."""
