//! One member of the ensemble, without I/O.
