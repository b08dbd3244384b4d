//! Operations on the gateway and faults of the store, and strategies that generate random ones.

use proptest::prelude::*;

use crate::faults::{Call, FaultKind};
use crate::support::PART;

/// An epoch, relative to the ledger's.
#[derive(Debug, Clone, Copy)]
pub enum Epoch {
    Current,
    Older,
    Newer,
}

/// The form of a complete: valid, or wrong in one respect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CompleteForm {
    Valid,
    PartMissing,
    OtherBytes,
    OtherEtag,
    OtherChecksum,
    Swapped,
}

#[derive(Debug, Clone)]
pub enum Operation {
    /// With `other`, a different request with the same idempotency key. `parts` is the variant of
    /// all parts.
    Begin {
        other: bool,
        holder: Option<u8>,
        parts: Option<u8>,
    },
    Claim {
        holder: u8,
        epoch: Option<Epoch>,
    },
    Sign {
        epoch: Epoch,
        parts: Vec<(u32, u8)>,
        wrong_size: bool,
    },
    /// A PUT to a URL that was signed earlier for this variant; with `wrong`, of other bytes.
    Put {
        number: u32,
        variant: u8,
        wrong: bool,
    },
    List,
    Complete {
        epoch: Epoch,
        form: CompleteForm,
    },
    /// With the epoch of a holder, or without an epoch.
    Abort(Option<Epoch>),
    Url,
    /// Begins, signs and puts every part of the upload, and lists them.
    UploadParts {
        variant: u8,
    },
    /// A call with the token of another owner.
    OtherOwner(u8),
    /// The lease expires.
    ExpireLease,
    /// The store removes the open multipart uploads, as a lifecycle rule does.
    DropOpenUploads,
    KillGateway,
    InjectFault(Call, FaultKind),
    ClearFaults,
    /// Two operations at the same time.
    Concurrent(Box<Operation>, Box<Operation>),
}

/// An operation on one of the uploads of a case.
pub type Step = (usize, Operation);

pub const SIZES: [u64; 4] = [3, PART + 77, 0, 2 * PART + 1];

fn call() -> impl Strategy<Value = Operation> {
    let epoch =
        || prop_oneof![6 => Just(Epoch::Current), 1 => Just(Epoch::Older), 1 => Just(Epoch::Newer)];
    let form = prop_oneof![
        8 => Just(CompleteForm::Valid),
        1 => Just(CompleteForm::PartMissing),
        1 => Just(CompleteForm::OtherBytes),
        1 => Just(CompleteForm::OtherEtag),
        1 => Just(CompleteForm::OtherChecksum),
        1 => Just(CompleteForm::Swapped),
    ];
    let variant = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    let parts = prop::collection::vec(
        (prop_oneof![8 => 1..=3_u32, 1 => 0..=4_u32], variant()),
        1..4,
    );
    prop_oneof![
        3 => (prop::bool::weighted(0.15), prop::option::of(0..2_u8), prop::option::of(variant()))
            .prop_map(|(other, holder, parts)| Operation::Begin { other, holder, parts }),
        2 => (0..2_u8, prop::option::weighted(0.4, epoch())).prop_map(|(holder, epoch)| Operation::Claim { holder, epoch }),
        3 => (epoch(), parts, prop::bool::weighted(0.05))
            .prop_map(|(epoch, parts, wrong_size)| Operation::Sign { epoch, parts, wrong_size }),
        2 => Just(Operation::List),
        4 => (epoch(), form).prop_map(|(epoch, form)| Operation::Complete { epoch, form }),
        1 => prop::option::of(epoch()).prop_map(Operation::Abort),
        1 => Just(Operation::Url),
    ]
}

fn op() -> impl Strategy<Value = Operation> {
    let store = prop_oneof![
        2 => Just(Call::Create),
        1 => Just(Call::Find),
        1 => Just(Call::List),
        4 => Just(Call::Complete),
        1 => Just(Call::Abort),
        3 => Just(Call::Head),
        1 => Just(Call::Delete),
    ];
    let kind = prop_oneof![
        3 => Just(FaultKind::Unavailable),
        3 => Just(FaultKind::DoneButUnavailable),
        1 => Just(FaultKind::Denied),
        1 => Just(FaultKind::ErrorBody),
        1 => Just(FaultKind::Disconnected),
        1 => Just(FaultKind::DoneButDisconnected),
        1 => Just(FaultKind::KillBefore),
        1 => Just(FaultKind::KillAfter),
    ];
    let variant = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    prop_oneof![
        30 => call(),
        10 => (0..2_u8).prop_map(|variant| Operation::UploadParts { variant }),
        10 => (1..=3_u32, variant(), prop::bool::weighted(0.1))
            .prop_map(|(number, variant, wrong)| Operation::Put { number, variant, wrong }),
        3 => (0..7_u8).prop_map(Operation::OtherOwner),
        2 => Just(Operation::ExpireLease),
        1 => Just(Operation::DropOpenUploads),
        4 => (store, kind).prop_map(|(call, kind)| Operation::InjectFault(call, kind)),
        3 => Just(Operation::ClearFaults),
        4 => (call(), call()).prop_map(|(a, b)| Operation::Concurrent(Box::new(a), Box::new(b))),
    ]
}

/// Operations for two uploads. Kills are rare, because each costs a start.
pub fn steps() -> impl Strategy<Value = (Vec<usize>, Vec<Step>)> {
    let sizes = prop::collection::vec(
        prop_oneof![2 => Just(0_usize), 4 => Just(1), 1 => Just(2), 2 => Just(3)],
        2,
    );
    let op = prop_oneof![100 => op(), 1 => Just(Operation::KillGateway)];
    (sizes, prop::collection::vec((0..2_usize, op), 8..60))
}
