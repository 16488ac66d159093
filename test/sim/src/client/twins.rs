//! Two znodes that every client changes by multis only, and reads at once: of a multi nobody sees a part (I-20).

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{
    CheckVersionRequest, DeleteRequest, ErrorResponse, GetDataResponse, MultiHeader,
    PathWatchRequest, ReplyHeader, SetDataRequest,
};
use zabra_proto::multi::encode_element;
use zabra_proto::{ErrorCode, OpCode, SessionId, Zxid};

use super::Client;
use super::ask::{Asked, Raw, create_request};
use crate::check::{Answer, Seen, TWINS, Told};
use crate::surroundings::Surroundings;
use crate::trace::hash_of;

/// A version that no znode has.
const NO_VERSION: i32 = 1_000_000;

impl Client {
    /// Something about the twins, or about anything else.
    pub(super) fn ask_something(&mut self, around: &mut Surroundings) {
        // One in three writes nothing.
        if self.at % 3 == 2 || !around.kernel.chance(around.plan.twins_permille) {
            return self.ask_anything(around);
        }
        if around.kernel.chance(400) {
            return self.read_twins(around);
        }
        self.written += 1;
        let data = format!("c{}-{}", self.at, self.written).into_bytes();
        let kind = around.kernel.rng.u32(0..8);
        let mut body = Vec::new();
        for (path, is_second) in TWINS.into_iter().zip([false, true]) {
            if kind == 7 && is_second {
                // It fails when the first twin is changed already.
                let check = CheckVersionRequest {
                    path: path.into(),
                    version: NO_VERSION,
                };
                encode_element(OpCode::Check, &check, &mut body);
            }
            match kind {
                0..=1 => encode_element(OpCode::Create, &create_request(path, &data, 0), &mut body),
                2 => {
                    let version = -1;
                    let path = path.into();
                    encode_element(OpCode::Delete, &DeleteRequest { path, version }, &mut body);
                }
                _ => {
                    let set = SetDataRequest {
                        path: path.into(),
                        data: Some(&data),
                        version: -1,
                    };
                    encode_element(OpCode::SetData, &set, &mut body);
                }
            }
        }
        MultiHeader::END.encode(&mut body);
        let asked = Asked::Twins(hash_of(&data));
        self.ask(OpCode::Multi, &Raw(body), asked, around);
    }

    fn read_twins(&mut self, around: &mut Surroundings) {
        let mut body = Vec::new();
        for path in TWINS {
            let read = PathWatchRequest {
                path: path.into(),
                watch: false,
            };
            encode_element(OpCode::GetData, &read, &mut body);
        }
        MultiHeader::END.encode(&mut body);
        self.ask(OpCode::MultiRead, &Raw(body), Asked::TwinsRead, around);
    }

    /// A multi about the twins was answered.
    pub(super) fn on_twins(
        &mut self,
        (header, floor): (ReplyHeader, Zxid),
        hash: u64,
        r: &mut Reader<'_>,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        let told = Told::new(session, header, floor, Answer::Written(None));
        around.check.replied(&told);
        let mut is_done = header.error.is_ok();
        if is_done {
            let first = MultiHeader::decode(r).ok()?;
            is_done = OpCode::from_code(first.kind).is_some();
            if !is_done {
                // Which element it was is told behind those before it.
                let own = ErrorResponse::decode(r).ok()?.error;
                if own.is_ok() {
                    around.check.multi_failed();
                }
                let error = ErrorCode::RUNTIME_INCONSISTENCY;
                around.check.refused(session, error, hash);
            }
        } else {
            around.check.refused(session, header.error, hash);
        }
        self.tally.writes += u64::from(is_done);
        Some(())
    }

    /// Both were read at once.
    pub(super) fn on_twins_read(
        &mut self,
        (header, floor): (ReplyHeader, Zxid),
        r: &mut Reader<'_>,
        session: SessionId,
        around: &mut Surroundings,
    ) -> Option<()> {
        if !header.error.is_ok() {
            return Some(());
        }
        let mut twins: [Seen; 2] = [None; 2];
        for (path, twin) in TWINS.into_iter().zip(&mut twins) {
            let element = MultiHeader::decode(r).ok()?;
            if OpCode::from_code(element.kind).is_some() {
                let read = GetDataResponse::decode(r).ok()?;
                *twin = Some((read.stat.version, hash_of(read.data.unwrap_or_default())));
            } else {
                ErrorResponse::decode(r).ok()?;
            }
            let node = twin.map(|(version, hash)| (version, Some(hash)));
            let told = Told::new(session, header, floor, Answer::Read { path, node });
            around.check.replied(&told);
        }
        around.check.twins_were_read(session, twins);
        self.tally.reads += 1;
        Some(())
    }
}
