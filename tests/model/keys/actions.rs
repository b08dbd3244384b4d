//! Random actions at chosen keys, and faults of their calls.

use proptest::prelude::*;
use upload_types::wire::IfExists;

use crate::faults::{Call, Edit, Fault, FaultKind, OtherWrite};
use crate::support::PART;

pub(super) const KEYS: usize = 2;
pub(super) const MACHINES: usize = 2;
pub(super) const SOURCES: usize = 2;
pub(super) const SIZES: [u64; 5] = [0, 100, PART, PART + 77, 2 * PART + 1];

/// A put of a source at a key, by a machine: all are numbers.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) machine: usize,
    pub(super) source: usize,
    pub(super) key: usize,
    pub(super) if_exists: IfExists,
    pub(super) force: bool,
    /// A source that changes is put again from the beginning.
    pub(super) restart: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Put {
        put: Put,
        faults: Vec<Fault>,
    },
    /// Two processes at the same time.
    PutTwice {
        puts: [Put; 2],
        faults: Vec<Fault>,
    },
    Edit {
        source: usize,
        edit: Edit,
    },
    Rename {
        source: usize,
    },
    /// A source gets the content of the other one.
    CopyContent {
        to: usize,
    },
    /// Another program writes to a key, perhaps the content of a source.
    OtherProgram {
        key: usize,
        source: usize,
        write: OtherWrite,
    },
    LoseJournal {
        machine: usize,
    },
    ExpireLeases,
    KillGateway,
}

/// The sizes of the sources, as indices of [`SIZES`], and the actions.
pub(super) type Run = ([usize; SOURCES], Vec<Action>);

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        1 => Just(Edit::Touch),
        2 => Just(Edit::Overwrite),
        2 => Just(Edit::First),
        2 => Just(Edit::Append),
        1 => Just(Edit::Truncate),
    ]
}

fn other_write() -> impl Strategy<Value = OtherWrite> {
    prop_oneof![
        2 => Just(OtherWrite::Put),
        1 => Just(OtherWrite::PutOfSameSize),
        1 => Just(OtherWrite::PutSame),
        1 => Just(OtherWrite::UploadSame),
        1 => Just(OtherWrite::PutSameWithoutChecksum),
        2 => Just(OtherWrite::Delete),
    ]
}

fn put() -> impl Strategy<Value = Put> {
    let if_exists = prop_oneof![
        3 => Just(IfExists::Same),
        1 => Just(IfExists::Fail),
        1 => Just(IfExists::Skip),
        3 => Just(IfExists::Update),
        3 => Just(IfExists::Overwrite),
    ];
    let numbers = (0..MACHINES, 0..SOURCES, 0..KEYS);
    (
        numbers,
        if_exists,
        prop::bool::weighted(0.15),
        any::<bool>(),
    )
        .prop_map(|((machine, source, key), if_exists, force, restart)| Put {
            machine,
            source,
            key,
            if_exists,
            force,
            restart,
        })
}

fn fault() -> impl Strategy<Value = Fault> {
    let call = prop_oneof![
        2 => Just(Call::Create),
        3 => Just(Call::Copy),
        4 => Just(Call::Complete),
        3 => Just(Call::Head),
        1 => Just(Call::Attributes),
        3 => Just(Call::Put),
        2 => Just(Call::Begin),
        1 => Just(Call::Sign),
        1 => Just(Call::Status),
        4 => Just(Call::CompleteRequest),
    ];
    let kind = prop_oneof![
        1 => Just(FaultKind::Unavailable),
        2 => Just(FaultKind::DoneButUnavailable),
        1 => Just(FaultKind::ErrorBody),
        1 => Just(FaultKind::Disconnected),
        2 => Just(FaultKind::DoneButDisconnected),
        1 => Just(FaultKind::Twice),
        2 => Just(FaultKind::KillBefore),
        2 => Just(FaultKind::KillAfter),
        2 => edit().prop_map(FaultKind::EditSource),
        6 => other_write().prop_map(FaultKind::OtherProgram),
    ];
    let skip = prop_oneof![3 => Just(0_u8), 1 => Just(1)];
    (call, kind, skip).prop_map(|(call, kind, skip)| Fault { call, kind, skip })
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(fault(), 1..3),
    ]
}

pub(super) fn runs() -> impl Strategy<Value = Run> {
    let puts = (put(), put(), any::<bool>()).prop_map(|(first, mut second, is_same_key)| {
        if is_same_key {
            second.key = first.key;
        }
        [first, second]
    });
    let source = || 0..SOURCES;
    let action = prop_oneof![
        16 => (put(), faults()).prop_map(|(put, faults)| Action::Put { put, faults }),
        3 => (puts, faults()).prop_map(|(puts, faults)| Action::PutTwice { puts, faults }),
        4 => (source(), edit()).prop_map(|(source, edit)| Action::Edit { source, edit }),
        2 => source().prop_map(|source| Action::Rename { source }),
        1 => source().prop_map(|to| Action::CopyContent { to }),
        3 => (0..KEYS, source(), other_write())
            .prop_map(|(key, source, write)| Action::OtherProgram { key, source, write }),
        1 => (0..MACHINES).prop_map(|machine| Action::LoseJournal { machine }),
        1 => Just(Action::ExpireLeases),
    ];
    let action = prop_oneof![40 => action, 1 => Just(Action::KillGateway)];
    let size =
        || prop_oneof![1 => Just(0_usize), 3 => Just(1), 1 => Just(2), 3 => Just(3), 2 => Just(4)];
    ([size(), size()], prop::collection::vec(action, 3..10))
}
