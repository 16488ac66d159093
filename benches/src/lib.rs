//! The work that every request does, in pieces that can be repeated: `cargo bench` in this folder times them, `cargo xtask
//! instructions` counts what they execute and compares it with `instructions.txt`.
//!
//! Each piece leaves what it works on as it found it, so that its cost does not depend on how often it is done. Nothing here
//! touches a disk or a socket: what a system call costs is for `cargo xtask bench`.

mod codec;
mod tree;
mod watch;
mod whole;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A piece of work, prepared; the number says how often it was done before.
pub type Work = Box<dyn FnMut(u64)>;

/// A piece of work by its name.
pub struct Piece {
    /// In words, and in `instructions.txt`.
    pub name: &'static str,
    /// Prepares it, for which nobody waits.
    pub prepare: fn() -> Work,
}

/// All of them.
#[must_use]
pub fn pieces() -> Vec<Piece> {
    vec![
        Piece::of("decode a getData", codec::decode_get),
        Piece::of("encode the answer to a getData", codec::encode_get_answer),
        Piece::of("decode a setData", codec::decode_set),
        Piece::of("encode the txn of a setData", codec::encode_txn),
        Piece::of("decode the txn of a setData", codec::decode_txn),
        Piece::of("frame a log record of a setData", codec::frame_record),
        Piece::of("find a znode and read it", tree::get),
        Piece::of("apply a setData", tree::set),
        Piece::of("apply a create and a delete", tree::create_and_delete),
        Piece::of("set a watch and fire it", watch::one),
        Piece::of("set 100 watches on a znode and fire them", watch::hundred),
        Piece::of("a getData, from bytes to bytes", whole::get),
        Piece::of("a setData, from bytes to bytes", whole::set),
    ]
}

impl Piece {
    fn of(name: &'static str, prepare: fn() -> Work) -> Self {
        Self { name, prepare }
    }
}

/// Does a piece of work so often. What is counted happens in here, so it must stay a function of its own.
#[inline(never)]
pub fn counted(work: &mut Work, times: u64) {
    for number in 0..times {
        work(number);
    }
}

/// A path as long as those of the load generator, of [`ZNODES`] different ones.
fn path_of(number: u64) -> String {
    format!("/zabra-bench-12345/k{:08}", number % ZNODES)
}

/// All of them.
fn paths() -> Vec<String> {
    (0..ZNODES).map(path_of).collect()
}

/// One of them.
fn path(paths: &[String], number: u64) -> &str {
    &paths[scattered(number) as usize]
}

/// In an order that is not that of the tree.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(7_368_787) % ZNODES
}

/// As many as the load generator asks for.
const ZNODES: u64 = 10_000;
/// What a znode holds.
const DATA: [u8; 100] = [b'z'; 100];
