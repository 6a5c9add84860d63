//! nf_tables over netlink: tables, chains, maps, elements, one atomic batch.
