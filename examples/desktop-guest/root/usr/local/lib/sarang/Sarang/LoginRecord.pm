package Sarang::LoginRecord;
# One entry of /run/utmp: there is no display manager here that would write it.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock);

our $FILE = '/run/utmp';

# struct utmp of glibc on a 64-bit Linux: type, pid, line, id, user, host, exit status, session, time, address
my $LAYOUT = 's x2 l a32 a4 a32 a256 s2 l l2 l4 x20';
my $SIZE = 384;
my ($USER_PROCESS, $DEAD_PROCESS) = (7, 8);

# The entry of a line: ($offset, $pid); the end of the file when there is none yet.
sub find {
  my ($file, $line) = @_;
  my $offset = 0;
  while (sysread($file, my $entry, $SIZE) == $SIZE) {
    my ($pid, $of) = (unpack $LAYOUT, $entry)[1, 2];
    return ($offset, $pid) if unpack('Z32', $of) eq $line;
    $offset += $SIZE;
  }
  return ($offset, 0);
}

# $user '' ends the login on $line; $pid 0 keeps the process that stands there.
sub write {
  my ($line, $user, $pid) = @_;
  sysopen my $file, $FILE, O_RDWR | O_CREAT, 0664 or die "$FILE: $!\n";
  flock $file, LOCK_EX;
  my ($offset, $old_pid) = find($file, $line);
  my $type = $user eq '' ? $DEAD_PROCESS : $USER_PROCESS;
  my $entry = pack $LAYOUT, $type, $pid || $old_pid, $line, substr($line, -4), $user, $line, 0, 0, 0, time, 0, 0, 0, 0, 0;
  sysseek $file, $offset, 0;
  syswrite($file, $entry) == $SIZE or die "$FILE: $!\n";
}

1;
