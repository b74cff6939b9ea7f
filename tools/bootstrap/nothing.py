"""What spark-submit runs when only its resolver is wanted."""
