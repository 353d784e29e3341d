"""HDFS and YARN of Apache Hadoop, from the jars that it publishes."""

from local_services.hadoop.cluster import Hadoop
from local_services.hadoop.configuration import Ports

__all__ = ["Hadoop", "Ports"]
