-- One database for each service, so that none can reach into another's tables.
CREATE DATABASE headrace_features;
CREATE DATABASE headrace_registry;
CREATE DATABASE headrace_trainer;
CREATE DATABASE headrace_monitor;
