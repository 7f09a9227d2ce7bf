"""``wine_files``, ``raw_wine_csv`` and ``train_test_split``, and the sensor that watches for new
files.
"""
