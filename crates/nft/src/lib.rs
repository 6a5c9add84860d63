//! nf_tables over netlink: tables, chains, maps, elements, one atomic batch.
//!
//! A typed way to say to the kernel what `nft -f` says, without the `nft` program and without its
//! libraries. What is here is what a runtime needs and no more; the kernel's interface is described in
//! `linux/netfilter/nf_tables.h`, the language in nft(8), and every method here has its counterpart there.
//!
//! ```no_run
//! use nft::{Batch, Chain, DataType, Element, Hook, Nft, Rule, Select, Set, Table, Value, priority};
//!
//! const TABLE: Table<'_> = Table::inet("web");
//! const BLOCKED: Set<'_> = Set::new(TABLE, "blocked", &[DataType::Ipv4Addr]);
//! const INPUT: Chain<'_> = Chain::filter(TABLE, "input", Hook::Input, priority::FILTER);
//!
//! # fn main() -> Result<(), nft::Error> {
//! let mut batch = Batch::new();
//! batch.add_table(TABLE, None);
//! batch.add_set(BLOCKED);
//! batch.add_chain(INPUT);
//! batch.add_rule(INPUT, Rule::new().within([Select::IpSaddr], BLOCKED).counter().drop());
//! batch.create_element(BLOCKED, &Element::new([Value::Ipv4([192, 0, 2, 1].into())]));
//! Nft::open()?.commit(&batch)?;
//! # Ok(())
//! # }
//! ```

mod attr;
mod batch;
mod chain;
mod element;
mod error;
mod expr;
mod message;
mod rule;
mod set;
mod socket;
mod table;
mod uapi;
mod userdata;
mod value;

pub use batch::Batch;
pub use chain::{Chain, Hook, Policy, priority};
pub use element::{Data, Element};
pub use error::{Error, Failure, Result};
pub use expr::{CtState, Select, Verdict};
pub use nix::errno::Errno;
pub use rule::Rule;
pub use set::{DataType, Set, SetData};
pub use socket::Nft;
pub use table::{Family, Table, TableInfo};
pub use userdata::{Comment, InvalidComment};
pub use value::{IfName, InvalidIfName, Value};
