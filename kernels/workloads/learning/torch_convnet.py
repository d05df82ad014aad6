convnet_inference = convnet_training = None
