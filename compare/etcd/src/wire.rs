//! The messages of etcd's key-value service that are needed, as Protocol Buffers, in the frames of gRPC.

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};

/// `RangeRequest` of one key.
pub fn range(key: &[u8], serializable: bool) -> Bytes {
    frame(|out| {
        put_bytes(out, 1, key);
        if serializable {
            out.put_slice(&[7 << 3, 1]);
        }
    })
}

/// `PutRequest`.
pub fn put(key: &[u8], value: &[u8]) -> Bytes {
    frame(|out| {
        put_bytes(out, 1, key);
        put_bytes(out, 2, value);
    })
}

/// The length of the value in a `RangeResponse` of one key; `None` when there is no such key.
///
/// # Errors
/// The message is cut short or not of this type.
pub fn value_len(frame: &[u8]) -> anyhow::Result<Option<usize>> {
    let message = frame.get(FRAME_HEAD..).context("no frame of gRPC")?;
    let Some(pair) = field(message, KVS)? else {
        return Ok(None);
    };
    // A value that is empty is left out.
    Ok(Some(field(pair, VALUE)?.map_or(0, <[u8]>::len)))
}

/// The first field of this number that is a string of bytes.
fn field(mut message: &[u8], number: u64) -> anyhow::Result<Option<&[u8]>> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            2 => {
                let len = usize::try_from(varint(&mut message)?)?;
                let (bytes, rest) = message.split_at_checked(len).context("a field is cut")?;
                if key >> 3 == number {
                    return Ok(Some(bytes));
                }
                message = rest;
            }
            other => bail!("a field of wire type {other}"),
        }
    }
    Ok(None)
}

fn varint(message: &mut &[u8]) -> anyhow::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().context("a number is cut")?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number of more than 64 bits")
}

/// Not compressed, the length, the message.
fn frame(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    out.put_slice(&[0; FRAME_HEAD]);
    put(&mut out);
    let len = (out.len() - FRAME_HEAD) as u32;
    out[1..FRAME_HEAD].copy_from_slice(&len.to_be_bytes());
    out.freeze()
}

fn put_bytes(out: &mut BytesMut, number: u8, bytes: &[u8]) {
    out.put_u8(number << 3 | 2);
    let mut len = bytes.len();
    while len >= 0x80 {
        out.put_u8(len as u8 | 0x80);
        len >>= 7;
    }
    out.put_u8(len as u8);
    out.put_slice(bytes);
}

/// Before each message: whether it is compressed, and its length.
const FRAME_HEAD: usize = 5;
/// Of `RangeResponse`.
const KVS: u64 = 2;
/// Of `KeyValue`.
const VALUE: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_bytes_that_etcd_reads() {
        assert_eq!(&range(b"k", false)[..], b"\0\0\0\0\x03\x0a\x01k");
        assert_eq!(&range(b"k", true)[..], b"\0\0\0\0\x05\x0a\x01k\x38\x01");
        assert_eq!(&put(b"k", b"v")[..], b"\0\0\0\0\x06\x0a\x01k\x12\x01v");
        assert_eq!(put(b"k", &[0; 200])[8..11], [2 << 3 | 2, 0xc8, 1]);
    }

    #[test]
    fn the_length_of_a_value_is_found_behind_header_and_key() {
        // header { revision: 300 }, kvs { key: "k", version: 1, value: "abc" }, count: 1
        let answer =
            b"\0\0\0\0\x13\x0a\x03\x18\xac\x02\x12\x0a\x0a\x01k\x20\x01\x2a\x03abc\x20\x01";
        assert_eq!(value_len(answer).unwrap(), Some(3));
        assert_eq!(
            value_len(b"\0\0\0\0\x05\x0a\x03\x18\xac\x02").unwrap(),
            None
        );
        for len in 0..FRAME_HEAD {
            assert!(value_len(&answer[..len]).is_err());
        }
        assert!(value_len(&answer[..14]).is_err());
        assert!(value_len(b"\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
