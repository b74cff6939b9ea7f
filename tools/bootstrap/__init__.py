"""Makes the checkout's environment: packages, Java, Delta's jars, and Spark wired to them. Standard library only."""
