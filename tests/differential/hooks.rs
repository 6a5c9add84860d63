//! `hooks` that write down how they were called.

use serde_json::json;

use crate::case::{Case, Way};
use crate::dice::Dice;
use crate::machine::{HOOKS, Host};

/// Where a hook in the container writes, as the container sees it.
pub(crate) const INSIDE: &str = "/outbox/hooks";

/// Fills in hooks.
pub(crate) fn fill(dice: &mut Dice, host: &Host, case: &mut Case) {
    if !dice.chance(30) {
        return;
    }
    for kind in
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    {
        if !dice.chance(40) {
            continue;
        }
        let inside = kind == "startContainer";
        let program = if inside { "/bin/witness".to_owned() } else { host.witness.clone() };
        let file = if inside { INSIDE } else { HOOKS };
        let count = 1 + dice.below(2);
        let hooks = (0..count).map(|number| {
            let mut hook = json!({"path": program, "args": ["witness", "hook", file, kind, number.to_string()]});
            dice.maybe(40, &mut hook, "env", json!(["HOOK=yes", "PATH=/hook"]));
            dice.maybe(30, &mut hook, "timeout", json!(20));
            hook
        });
        case.spec["hooks"][kind] = hooks.collect();
        if inside {
            let outbox = json!({"destination": "/outbox", "type": "bind", "source": "outbox", "options": ["rbind", "rw"]});
            case.spec["mounts"].as_array_mut().expect("mounts").push(outbox);
        }
    }
    // runc until 1.5 calls poststart hooks in create, not in start, so that what they see differs there.
    if !host.knows(1, 6) && case.way == Way::Life && !case.spec["hooks"]["poststart"].is_null() {
        case.way = Way::Run;
    }
}
