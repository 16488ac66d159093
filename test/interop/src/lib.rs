//! Real Apache servers and clients against ours.
