//! Session keyrings (keyrings(7)): a container must not see the keys of its creator.

use std::ffi::CString;

use nix::errno::Errno;

use crate::error::{CallContext, Result};
use crate::{ContainerId, sys};

/// `KEY_OTH_SEARCH`: all that a user other than the owner needs, inside a user namespace.
const OTHER_SEARCH: u32 = 0x8;
/// `KEY_USR_SEARCH`: what the owner needs outside of the session.
const USER_SEARCH: u32 = 0x8_0000;

/// The keyring of a container: every process of it joins the same.
pub(crate) fn name_of(id: &ContainerId) -> Option<CString> {
    CString::new(format!("_ses.{id}")).ok()
}

/// Joins it, and makes it searchable by the container's processes.
pub(crate) fn join(name: &CString, user_namespace: bool) -> Result<()> {
    let serial = match sys::join_session_keyring(name) {
        Ok(serial) => serial,
        // A kernel without keys has none to hide.
        Err(Errno::ENOSYS) => return Ok(()),
        Err(errno) => return Err(errno).call(|| "unable to join session keyring".to_owned()),
    };
    let more = if user_namespace { OTHER_SEARCH } else { USER_SEARCH };
    sys::key_permissions(serial)
        .and_then(|permissions| sys::set_key_permissions(serial, permissions | more))
        .call(|| "unable to mod keyring permissions".to_owned())
}
