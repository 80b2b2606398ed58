"""What is known of TensorFlow's ops, one by one."""
