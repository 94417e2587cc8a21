package Sarang::Screen;
# The password of the screen's VNC server. The server reads its file anew whenever somebody comes (X0tigervnc(1), PasswordFile), so
# to write the file is to set the password, and to remove it is to let nobody in. The end of its time is systemd's to keep: it comes
# also where the agent that started us is gone.
use strict;
use warnings;
use Fcntl qw(:DEFAULT);
use IPC::Open2;

our $FOLDER = '/run/sarang/screen';
our @HIDE = ('/usr/bin/tigervncpasswd', '-f');
our @LATER = ('/usr/bin/systemd-run', '--quiet', '--collect', '--timer-property=AccuracySec=100ms');
my $BYTES_MAX = 1000;
my %SHAPES = (
  version => [qr/\A1\z/, 'is not 1'],
  password => [qr/\A[A-Za-z0-9]{1,8}\z/, 'is not 1 to 8 letters and digits'],
  seconds => [qr/\A(?:[1-9][0-9]?|[1-5][0-9]{2}|600)\z/, 'is not 1 to 600'],
  end => [qr/\A1\z/, 'is not 1'],
);

# { password, seconds } of the lines in $input; dies with the line that is refused, without its value.
sub read_list {
  my ($input) = @_;
  my ($text, %want) = ('');
  1 while read $input, $text, $BYTES_MAX + 1 - length $text, length $text;
  die "more than $BYTES_MAX bytes\n" if length $text > $BYTES_MAX;
  die "the last line is not whole\n" if $text !~ /\n\z/;
  chomp $text;
  my $at = 0;
  for my $line (split /\n/, $text, -1) {
    $at++;
    my ($name, $value) = $line =~ /\A([a-z]+)=(.*)\z/s or die "line $at: not NAME=VALUE\n";
    my ($shape, $wrong) = @{ $SHAPES{$name} // die "line $at: no such name is known\n" };
    die "line $at: the first is not version=1\n" if $at == 1 && $name ne 'version';
    die "line $at: the list has ended\n" if $want{end};
    die "line $at: $name a second time\n" if exists $want{$name};
    die "line $at: $name $wrong\n" if $value !~ $shape;
    $want{$name} = $value;
  }
  defined $want{$_} or die "the list has no $_\n" for qw(end password seconds);
  return \%want;
}

# From when it returns the server takes this password alone, for so many seconds. Each lies in a file of its own, to which the server's
# name for it leads: so an earlier one's end takes no later one away.
sub admit {
  my ($password, $seconds) = @_;
  unlink glob "$FOLDER/password*";
  my $name = join '.', 'password', time, $$;
  return if eval { place($name, hidden($password), $seconds); 1 };
  my $why = $@;
  unlink glob "$FOLDER/password*";
  die $why;
}

# What the server knows of a password: by the server's own program, and not in a process list.
sub hidden {
  my ($password) = @_;
  local $SIG{PIPE} = 'IGNORE';
  my ($out, $in);
  my $pid = eval { open2($out, $in, @HIDE) } or die "$HIDE[0] does not start\n";
  print {$in} "$password\n";
  close $in;
  my $bytes = do { local $/; <$out> } // '';
  waitpid $pid, 0;
  die "$HIDE[0] failed\n" if $? || length $bytes != 8;
  return $bytes;
}

# Its end is arranged before it is good.
sub place {
  my ($name, $bytes, $seconds) = @_;
  my $path = "$FOLDER/$name";
  sysopen my $file, $path, O_WRONLY | O_CREAT | O_EXCL, 0640 or die "$path: $!\n";
  $> or chown 0, (stat $FOLDER)[5], $file or die "$path: $!\n";
  (print {$file} $bytes and close $file) or die "$path: $!\n";
  system(@LATER, "--on-active=$seconds", '/bin/rm', '-f', $path) == 0 or die "$LATER[0] failed\n";
  symlink $name, "$FOLDER/password" or die "$FOLDER/password: $!\n";
}

1;
