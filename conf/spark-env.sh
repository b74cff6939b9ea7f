# Sourced by every command of the checkout's own Spark: run it on the Java that set-up found or installed, whatever
# JAVA_HOME the shell has. Elsewhere the folder is missing and nothing changes.
if [ -x "${SPARK_HOME}/../../../../java/bin/java" ]; then
  JAVA_HOME=$(CDPATH= cd -- "${SPARK_HOME}/../../../../java" && pwd)
fi
