//! Bytes to and from primitive jute records, with limits.
