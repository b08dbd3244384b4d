//! What may be asked of the gateway, and what may befall it: the alphabet of the contract's runs.
//!
//! Border: values and how they are drawn; what each comes to is `reference`, how it is done `contract`.

use proptest::prelude::*;

use crate::faults::{Call, Mood};
use crate::support::PART;

/// An epoch, by what the ledger has.
#[derive(Debug, Clone, Copy)]
pub enum Epoch {
    Own,
    Older,
    Newer,
}

/// How a complete is wrong, if it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Right,
    OnePartLess,
    OtherBytes,
    OtherEtag,
    OtherChecksum,
    Swapped,
}

#[derive(Debug, Clone)]
pub enum Op {
    /// `other` asks for another upload under the same key; `parts` are of that generation.
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
    /// With a URL that was signed some time for these bytes.
    Put {
        number: u32,
        generation: u8,
        wrong: bool,
    },
    List,
    Complete {
        epoch: Epoch,
        form: Form,
    },
    /// In nobody's name, or by who holds it.
    Abort(Option<Epoch>),
    Url,
    /// The whole of the good way, as far as it goes.
    Send {
        generation: u8,
    },
    /// Somebody else's token.
    Foreign(u8),
    /// The holder is silent for so long that its lease ages out.
    Silence,
    /// The store forgets the open multipart uploads, as a lifecycle rule does.
    Lifecycle,
    Kill,
    Fail(Call, Mood),
    Heal,
    /// At the same moment.
    Both(Box<Op>, Box<Op>),
}

/// An operation on one of the uploads of a case.
pub type Step = (usize, Op);

pub const SIZES: [u64; 4] = [3, PART + 77, 0, 2 * PART + 1];

fn call() -> impl Strategy<Value = Op> {
    let epoch =
        || prop_oneof![6 => Just(Epoch::Own), 1 => Just(Epoch::Older), 1 => Just(Epoch::Newer)];
    let form = prop_oneof![
        8 => Just(Form::Right),
        1 => Just(Form::OnePartLess),
        1 => Just(Form::OtherBytes),
        1 => Just(Form::OtherEtag),
        1 => Just(Form::OtherChecksum),
        1 => Just(Form::Swapped),
    ];
    let generation = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    let parts = prop::collection::vec(
        (prop_oneof![8 => 1..=3_u32, 1 => 0..=4_u32], generation()),
        1..4,
    );
    prop_oneof![
        3 => (prop::bool::weighted(0.15), prop::option::of(0..2_u8), prop::option::of(generation()))
            .prop_map(|(other, holder, parts)| Op::Begin { other, holder, parts }),
        2 => (0..2_u8, prop::option::weighted(0.4, epoch())).prop_map(|(holder, epoch)| Op::Claim { holder, epoch }),
        3 => (epoch(), parts, prop::bool::weighted(0.05))
            .prop_map(|(epoch, parts, wrong_size)| Op::Sign { epoch, parts, wrong_size }),
        2 => Just(Op::List),
        4 => (epoch(), form).prop_map(|(epoch, form)| Op::Complete { epoch, form }),
        1 => prop::option::of(epoch()).prop_map(Op::Abort),
        1 => Just(Op::Url),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let store = prop_oneof![
        2 => Just(Call::Create),
        1 => Just(Call::Find),
        1 => Just(Call::List),
        4 => Just(Call::Complete),
        1 => Just(Call::Abort),
        3 => Just(Call::Head),
        1 => Just(Call::Delete),
    ];
    let mood = prop_oneof![
        3 => Just(Mood::Down),
        3 => Just(Mood::Swallow),
        1 => Just(Mood::Denied),
        1 => Just(Mood::ErrorBody),
        1 => Just(Mood::Cut),
        1 => Just(Mood::CutAfter),
        1 => Just(Mood::DieBefore),
        1 => Just(Mood::DieAfter),
    ];
    let generation = || prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    prop_oneof![
        30 => call(),
        10 => (0..2_u8).prop_map(|generation| Op::Send { generation }),
        10 => (1..=3_u32, generation(), prop::bool::weighted(0.1))
            .prop_map(|(number, generation, wrong)| Op::Put { number, generation, wrong }),
        3 => (0..7_u8).prop_map(Op::Foreign),
        2 => Just(Op::Silence),
        1 => Just(Op::Lifecycle),
        4 => (store, mood).prop_map(|(call, mood)| Op::Fail(call, mood)),
        3 => Just(Op::Heal),
        4 => (call(), call()).prop_map(|(a, b)| Op::Both(Box::new(a), Box::new(b))),
    ]
}

/// Few deaths: each costs a start.
pub fn steps() -> impl Strategy<Value = (Vec<usize>, Vec<Step>)> {
    let sizes = prop::collection::vec(
        prop_oneof![2 => Just(0_usize), 4 => Just(1), 1 => Just(2), 2 => Just(3)],
        2,
    );
    let op = prop_oneof![100 => op(), 1 => Just(Op::Kill)];
    (sizes, prop::collection::vec((0..2_usize, op), 8..60))
}
