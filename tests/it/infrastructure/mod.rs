//! What `terraform/` says and what the binary does are the same, both ways; and what Terraform would refuse or Amazon has
//! no room for is found here. The files are read and evaluated as Terraform would for a plan, with stand-ins for what
//! only Amazon knows (`plan`). The provider's side of it, names and types of attributes, is `.ci/infrastructure`'s.

mod functions;
mod limits;
mod math;
mod metrics;
mod numbers;
mod permissions;
mod plan;
mod settings;
