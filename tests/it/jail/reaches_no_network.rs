//! No socket of any kind, and no interface to send through.

use compilation_worker::domain::limits::Limits;

use crate::jail::bed::{Bed, stdout};

#[test]
fn no_socket_can_be_made() {
    let bed = Bed::make();
    let finished = bed.run_c(
        r#"
#include <sys/socket.h>
#include <stdio.h>
#include <errno.h>
int main(void) {
  int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, 44};
  for (int i = 0; i < 8; i++)
    for (int type = SOCK_STREAM; type <= SOCK_RAW; type++)
      if (socket(families[i], type, 0) >= 0 || errno != EAFNOSUPPORT) printf("family %d type %d: %d\n", families[i], type, errno);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) puts("socketpair");
  puts("done");
}"#,
        Limits::default(),
    );
    assert_eq!(stdout(&finished), "done\n");
}

#[test]
fn the_compiler_cannot_fetch_either() {
    let bed = Bed::make();
    let finished = bed.run(crate::jail::bed::job(
        "/bin/bash",
        &["-c", "exec 3<>/dev/tcp/127.0.0.1/22 && echo connected; cat /proc/net/dev; ls /sys 2>/dev/null; echo done"],
    ));
    assert_eq!(stdout(&finished), "done\n");
}
