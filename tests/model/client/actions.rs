//! Random actions of a client and faults of its calls.

use proptest::prelude::*;

use crate::faults::{Call, Edit, Fault, FaultKind};
use crate::support::PART;

#[derive(Debug, Clone)]
pub enum Action {
    Put {
        faults: Vec<Fault>,
        restart: bool,
    },
    Resume {
        faults: Vec<Fault>,
    },
    /// Two processes with one journal put the same file at the same time.
    PutTwice {
        faults: Vec<Fault>,
    },
    Edit(Edit),
    /// `upload abort` of everything unfinished.
    Abort,
    KillGateway,
    /// The gateway loses its ledger.
    LoseLedger,
    /// The store removes the open multipart uploads.
    DropOpenUploads,
}

/// The last size has parts that are read while others are sent.
pub const SIZES: [u64; 6] = [0, 100, PART, PART + 77, 2 * PART + 1, 4 * PART + 1];

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => Just(Edit::Touch),
        3 => Just(Edit::Overwrite),
        2 => Just(Edit::FirstAndLast),
        1 => Just(Edit::Append),
        1 => Just(Edit::Truncate),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let store = prop_oneof![
        1 => Just(Call::Create),
        1 => Just(Call::Find),
        1 => Just(Call::List),
        2 => Just(Call::Complete),
        1 => Just(Call::Abort),
        2 => Just(Call::Head),
        4 => Just(Call::Put),
        2 => Just(Call::Begin),
        1 => Just(Call::Claim),
        2 => Just(Call::Sign),
        1 => Just(Call::Status),
        1 => Just(Call::Parts),
        3 => Just(Call::CompleteRequest),
        1 => Just(Call::AbortRequest),
    ];
    let kind = prop_oneof![
        1 => Just(FaultKind::Unavailable),
        2 => Just(FaultKind::DoneButUnavailable),
        1 => Just(FaultKind::ErrorBody),
        1 => Just(FaultKind::Disconnected),
        2 => Just(FaultKind::DoneButDisconnected),
        1 => Just(FaultKind::Twice),
        1 => Just(FaultKind::StaleList),
        4 => Just(FaultKind::KillBefore),
        4 => Just(FaultKind::KillAfter),
        4 => edit().prop_map(FaultKind::EditSource),
    ];
    let skip = || prop_oneof![3 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    // One part is in the store and another one is not read yet.
    let midway = prop_oneof![2 => edit().prop_map(FaultKind::EditSource), 1 => Just(FaultKind::Twice), 1 => Just(FaultKind::OpenUploadsLost)];
    prop_oneof![
        6 => (store, kind, skip()).prop_map(|(call, kind, skip)| Fault { call, kind, skip }),
        1 => (midway, skip()).prop_map(|(kind, skip)| Fault { call: Call::Put, kind, skip }),
    ]
}

pub fn actions() -> impl Strategy<Value = (usize, Vec<Action>)> {
    // The client is killed while the outcome of its complete is unknown.
    let undecided = || {
        let store_fault = |kind| Fault {
            call: Call::Complete,
            kind,
            skip: 0,
        };
        let client_kill = Fault {
            call: Call::CompleteRequest,
            kind: FaultKind::KillAfter,
            skip: 0,
        };
        prop_oneof![
            Just(FaultKind::Unavailable),
            Just(FaultKind::DoneButUnavailable),
            Just(FaultKind::Disconnected)
        ]
        .prop_map(move |kind| vec![store_fault(kind), client_kill])
    };
    let faults = || prop_oneof![8 => prop::collection::vec(fault(), 0..4), 1 => undecided()];
    let action = prop_oneof![
        12 => (faults(), any::<bool>()).prop_map(|(faults, restart)| Action::Put { faults, restart }),
        4 => faults().prop_map(|faults| Action::Resume { faults }),
        2 => faults().prop_map(|faults| Action::PutTwice { faults }),
        5 => edit().prop_map(Action::Edit),
        1 => Just(Action::Abort),
        1 => Just(Action::DropOpenUploads),
    ];
    let action =
        prop_oneof![40 => action, 1 => Just(Action::KillGateway), 1 => Just(Action::LoseLedger)];
    let size = prop_oneof![1 => Just(0_usize), 2 => Just(1), 1 => Just(2), 5 => Just(3), 2 => Just(4), 1 => Just(5)];
    (size, prop::collection::vec(action, 2..7))
}
