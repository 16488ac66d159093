//! Real Apache ZooKeeper servers and clients against Zabra.
//!
//! Each suite is a *differential* test where it can be: the same input goes to an Apache server and to ours, and what
//! comes back is compared field by field. A difference is a failure, or a line in [`diff::allow`] with its reason.
//!
//! Not here: tests that need no peer (they live beside the code they test), and performance (`zabra bench`).
//!
//! Where to go next: [`packages`] installs the peers, [`peer`] runs them, [`wire`] speaks to them; then one module per
//! suite: [`kazoo`], [`diff`], [`directed`], [`zkcli`], [`cli`], [`client`], [`files`], [`words`].
//!
//! Ensembles are started and broken through [`ensemble`], under the checking client of [`load`]; their suites are
//! [`mixed`], [`rolling`] and [`chaos`], and [`gap`] for figures.

pub mod chaos;
pub mod cli;
pub mod client;
pub mod diff;
pub mod directed;
pub mod ensemble;
pub mod files;
pub mod gap;
pub mod kazoo;
pub mod load;
pub mod mixed;
pub mod packages;
pub mod peer;
pub mod place;
pub mod recipes;
pub mod rolling;
pub mod scene;
pub mod step;
pub mod tree;
pub mod wire;
pub mod words;
pub mod zkcli;
