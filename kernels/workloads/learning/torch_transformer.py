encoder_inference = transformer_training = None
