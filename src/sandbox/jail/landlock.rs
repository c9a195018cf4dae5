//! The second wall: if a mount were ever wrong, Landlock still allows reading and executing below the root, writing
//! in the two scratch places and to the devices, and nothing else; no signal and no abstract socket leaves the jail.

use ::landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// The newest version whose rules are spelt out here.
const NEWEST: ABI = ABI::V6;

/// Confines this process and all that come from it, as far as the kernel can.
pub(super) fn confine() -> Result<(), RulesetError> {
    let read = AccessFs::from_read(NEWEST);
    let all = AccessFs::from_all(NEWEST);
    // A device is written to, and asked whether it is a terminal; nothing is made or removed beside it.
    let devices: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (path, access) in [("/", read), ("/app", all), ("/tmp", all), ("/dev", devices | read)] {
        // All four stand in the template; where one does not, it needs no rule.
        if let Ok(path) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(path, access))?;
        }
    }
    rules.restrict_self().map(drop)
}
