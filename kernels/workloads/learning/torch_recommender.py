recommender_inference = recommender_training = None
