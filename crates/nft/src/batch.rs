//! Batches: changes of which all happen, at once, or none.

use crate::attr::Attrs;
use crate::message::Message;
use crate::uapi::*;
use crate::{Chain, Comment, Element, Rule, Set, Table};

/// Changes to make in one transaction, in this order.
///
/// `add` is content with an object that is there already, as `nft add` is. `create` is not: the kernel
/// answers EEXIST, and nothing of the batch is done.
#[derive(Debug, Default)]
pub struct Batch {
    steps: Vec<Step>,
    sets: u32,
}

/// A message, and how to speak of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) message: Message,
    pub(crate) operation: &'static str,
    pub(crate) object: String,
}

impl Batch {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Adds a table. The comment of one that exists stays what it is.
    pub fn add_table(&mut self, table: Table<'_>, comment: Option<&Comment>) {
        self.push(NFT_MSG_NEWTABLE, NLM_F_CREATE, table, "add table", table.to_string(), |attrs| {
            attrs.text(NFTA_TABLE_NAME, table.name).number(NFTA_TABLE_FLAGS, 0);
            if let Some(comment) = comment {
                attrs.bytes(NFTA_TABLE_USERDATA, &comment.encode());
            }
        });
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, table: Table<'_>) {
        self.push(NFT_MSG_DELTABLE, 0, table, "delete table", table.to_string(), |attrs| {
            attrs.text(NFTA_TABLE_NAME, table.name);
        });
    }

    /// Adds a chain.
    pub fn add_chain(&mut self, chain: Chain<'_>) {
        let name = chain.to_string();
        self.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain.table, "add chain", name, |attrs| {
            chain.encode(attrs);
        });
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, chain: Chain<'_>) {
        let name = chain.to_string();
        self.push(NFT_MSG_DELRULE, 0, chain.table, "flush chain", name, |attrs| {
            attrs.text(NFTA_RULE_TABLE, chain.table.name).text(NFTA_RULE_CHAIN, chain.name);
        });
    }

    /// Deletes a chain, which must be without rules and which no rule may lead to.
    pub fn delete_chain(&mut self, chain: Chain<'_>) {
        let name = chain.to_string();
        self.push(NFT_MSG_DELCHAIN, 0, chain.table, "delete chain", name, |attrs| {
            attrs.text(NFTA_CHAIN_TABLE, chain.table.name).text(NFTA_CHAIN_NAME, chain.name);
        });
    }

    /// Adds a rule behind those that the chain has.
    pub fn add_rule(&mut self, chain: Chain<'_>, rule: Rule) {
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        let name = chain.to_string();
        self.push(NFT_MSG_NEWRULE, flags, chain.table, "add rule", name, |attrs| {
            attrs.text(NFTA_RULE_TABLE, chain.table.name).text(NFTA_RULE_CHAIN, chain.name);
            rule.encode(attrs);
        });
    }

    /// Adds a set or map. One that exists must be of the same kind.
    pub fn add_set(&mut self, set: Set<'_>) {
        self.sets += 1;
        let id = self.sets;
        let name = set.to_string();
        self.push(NFT_MSG_NEWSET, NLM_F_CREATE, set.table, "add set", name, |attrs| {
            set.encode(attrs, id);
        });
    }

    /// Deletes a set or map, which no rule may use.
    pub fn delete_set(&mut self, set: Set<'_>) {
        self.push(NFT_MSG_DELSET, 0, set.table, "delete set", set.to_string(), |attrs| {
            attrs.text(NFTA_SET_TABLE, set.table.name).text(NFTA_SET_NAME, set.name);
        });
    }

    /// Adds an element. One that exists must lead to the same data; its comment stays what it is.
    pub fn add_element(&mut self, set: Set<'_>, element: &Element) {
        self.element(NFT_MSG_NEWSETELEM, NLM_F_CREATE, "add element", set, element);
    }

    /// Adds an element that must not exist yet.
    pub fn create_element(&mut self, set: Set<'_>, element: &Element) {
        self.element(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, "create element", set, element);
    }

    /// Deletes an element, whatever data and comment it has. The kernel answers ENOENT where there is none.
    pub fn delete_element(&mut self, set: Set<'_>, element: &Element) {
        self.element(NFT_MSG_DELSETELEM, 0, "delete element", set, element);
    }

    /// The changes of another batch behind those of this one.
    pub fn append(&mut self, mut other: Self) {
        self.steps.append(&mut other.steps);
    }

    /// Takes the changes at these places out, which ascend.
    pub(crate) fn remove(&mut self, places: impl Iterator<Item = usize>) {
        let mut places = places.peekable();
        let mut place = 0;
        self.steps.retain(|_| {
            let hit = places.next_if_eq(&place).is_some();
            place += 1;
            !hit
        });
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn element(
        &mut self,
        kind: u16,
        flags: u16,
        operation: &'static str,
        set: Set<'_>,
        element: &Element,
    ) {
        let object = format!("{set} {element}");
        self.push(kind, flags, set.table, operation, object, |attrs| {
            element.encode(attrs, &set, kind == NFT_MSG_NEWSETELEM);
        });
    }

    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        table: Table<'_>,
        operation: &'static str,
        object: String,
        fill: impl FnOnce(&mut Attrs),
    ) {
        let message = Message::new(kind, flags, table.family.number(), fill);
        self.steps.push(Step { message, operation, object });
    }
}
