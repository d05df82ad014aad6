mlp_inference = mlp_training = None
