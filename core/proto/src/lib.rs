//! Every word and message of the ZooKeeper protocols.
