//! zoo.cfg and system properties: what was written and what it means.
