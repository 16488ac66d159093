//! Every record of the client port.

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, Create2Response, CreateRequest,
    CreateTtlRequest, DeleteRequest, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetChildren2Response, GetDataResponse, GetEphemeralsRequest, MultiHeader, NamesResponse,
    PathRequest, PathResponse, PathWatchRequest, ReconfigRequest, ReplyHeader, RequestHeader,
    SaslToken, SetAclRequest, SetDataRequest, SetWatches, SetWatches2, StatResponse, WatcherEvent,
    WatchesRequest, WhoAmIResponse,
};
use zabra_proto::{Acl, RawAcl, Stat, StatPersisted};

/// The first byte chooses the record, the rest is decoded as it. What was decoded is encoded to bytes that decode to
/// the same.
pub fn records(bytes: &[u8]) {
    if let Some((choice, bytes)) = bytes.split_first() {
        CHECKS[usize::from(*choice) % CHECKS.len()](bytes);
    }
}

/// What is done with the bytes of one record.
type Check = fn(&[u8]);

macro_rules! round_trips {
    ($($record:ty),* $(,)?) => {
        &[$(|bytes| {
            if let Ok(record) = <$record>::decode(&mut Reader::new(bytes)) {
                let mut again = Vec::new();
                record.encode(&mut again);
                let copy = <$record>::decode(&mut Reader::new(&again));
                assert_eq!(copy.as_ref(), Ok(&record));
            }
        }),*]
    };
}

const CHECKS: &[Check] = round_trips![
    RequestHeader,
    ReplyHeader,
    CreateRequest<'_>,
    CreateTtlRequest<'_>,
    DeleteRequest<'_>,
    PathWatchRequest<'_>,
    PathRequest<'_>,
    SetDataRequest<'_>,
    SetAclRequest<'_>,
    CheckVersionRequest<'_>,
    MultiHeader,
    ReconfigRequest<'_>,
    WatchesRequest<'_>,
    AuthPacket<'_>,
    SetWatches<'_>,
    SetWatches2<'_>,
    SaslToken<'_>,
    GetEphemeralsRequest<'_>,
    AddWatchRequest<'_>,
    PathResponse<'_>,
    Create2Response<'_>,
    StatResponse,
    GetDataResponse<'_>,
    GetAclResponse<'_>,
    NamesResponse<'_>,
    GetChildren2Response<'_>,
    ErrorResponse,
    GetAllChildrenNumberResponse,
    WhoAmIResponse<'_>,
    WatcherEvent<'_>,
    Acl<'_>,
    RawAcl<'_>,
    Stat,
    StatPersisted,
];
