package Sarang::Yaml;
# Reads the strict part of YAML that a seed needs: block mappings and sequences, scalars on one line (plain, 'single', "double"
# with escapes), [] and {}, comments. All else (anchors, tags, block scalars, flow collections, tabs) is refused with its line.
# It makes values and does nothing with them.
use strict;
use warnings;

my $DEPTH_MAX = 8;
my $BYTES_MAX = 64 << 10;
my %ESCAPE = (0 => "\0", a => "\a", b => "\b", t => "\t", n => "\n", v => "\x0b", f => "\f", r => "\r", e => "\e",
  '"' => '"', '/' => '/', '\\' => '\\', ' ' => ' ');

# Text -> a hash, an array or a string; dies with "line N: why".
sub parse {
  my ($text) = @_;
  die "line 1: longer than $BYTES_MAX bytes\n" if length $text > $BYTES_MAX;
  my $lines = significant_lines($text);
  return {} unless @$lines;
  my $value = block($lines, 0);
  refuse($lines->[0], 'less indented than its neighbours') if @$lines;
  return $value;
}

sub refuse { my ($line, $why) = @_; die "line $line->{number}: $why\n" }

# Lines that say something: { number, indent, text }.
sub significant_lines {
  my ($text) = @_;
  my ($number, @lines) = (0);
  for (split /\n/, $text) {
    $number++;
    s/\r$//;
    next if /^\s*(#|$)/ || ($_ eq '---' && !@lines);
    my $line = { number => $number, indent => /^( *)/ && length $1, text => s/^ *//r };
    refuse($line, 'a control character') if /[\x00-\x08\x0b-\x1f\x7f]/;
    refuse($line, 'indented by a tab') if $line->{text} =~ /^\t/;
    push @lines, $line;
  }
  return \@lines;
}

# The mapping or sequence that begins on the first line; takes its lines away.
sub block {
  my ($lines, $depth) = @_;
  refuse($lines->[0], "deeper than $DEPTH_MAX levels") if $depth > $DEPTH_MAX;
  return $lines->[0]{text} =~ /^-( |$)/ ? sequence($lines, $depth) : mapping($lines, $depth);
}

sub sequence {
  my ($lines, $depth) = @_;
  my ($indent, @items) = $lines->[0]{indent};
  while (@$lines && $lines->[0]{indent} == $indent && $lines->[0]{text} =~ /^-( +|$)/) {
    my ($line, $dash) = ($lines->[0], length $&);
    my $rest = substr $line->{text}, $dash;
    if ($rest =~ /^(#|$)/) { push @items, nested(shift_line($lines), $lines, $indent + 1, $depth) }
    elsif ($rest =~ /^- / || defined key_of($rest)) {
      # what follows the dash is the first line of a block as deep as it stands there
      $lines->[0] = { %$line, indent => $indent + $dash, text => $rest };
      push @items, block($lines, $depth + 1);
    }
    else { push @items, scalar_of(shift_line($lines), $rest) }
  }
  check_end($lines, $indent);
  return \@items;
}

sub mapping {
  my ($lines, $depth) = @_;
  my ($indent, %map) = $lines->[0]{indent};
  while (@$lines && $lines->[0]{indent} == $indent && $lines->[0]{text} !~ /^-( |$)/) {
    my $line = shift_line($lines);
    my ($key, $rest) = key_of($line->{text});
    refuse($line, 'neither "key: value" nor "- item"') unless defined $key;
    refuse($line, "\"$key\" a second time") if exists $map{$key};
    # a sequence may stand as deep as the key it belongs to
    my $deep = @$lines && $lines->[0]{text} =~ /^-( |$)/ ? $indent : $indent + 1;
    $map{$key} = $rest =~ /^(#|$)/ ? nested($line, $lines, $deep, $depth) : scalar_of($line, $rest);
  }
  check_end($lines, $indent);
  return \%map;
}

sub shift_line { return shift @{ $_[0] } }

sub check_end {
  my ($lines, $indent) = @_;
  refuse($lines->[0], 'more indented than its neighbours, or a text over several lines') if @$lines && $lines->[0]{indent} > $indent;
}

# What belongs to a key or dash with nothing behind it: a deeper block, or an empty text.
sub nested {
  my ($line, $lines, $least, $depth) = @_;
  return @$lines && $lines->[0]{indent} >= $least ? block($lines, $depth + 1) : '';
}

# "key: rest" -> (key, rest)
sub key_of {
  my ($text) = @_;
  return unless $text =~ /^(?:([\w.-]+)|"([\w.-]+)"|'([\w.-]+)'):(?: +|$)/;
  return ($1 // $2 // $3, substr $text, length $&);
}

sub scalar_of {
  my ($line, $text) = @_;
  if ($text =~ /^"((?:[^"\\]|\\.)*)"\s*(?:$|\s#)/) { return unescape($line, $1) }
  if ($text =~ /^'((?:[^']|'')*)'\s*(?:$|\s#)/) { return $1 =~ s/''/'/gr }
  $text =~ s/\s+(#.*)?$//;
  return {} if $text eq '{}';
  return [] if $text eq '[]';
  return '' if $text =~ /^(~|null|Null|NULL)$/;
  refuse($line, 'a kind of YAML this reader does not take: write the value in double quotes')
    if $text =~ /^[][{}"'|>&*!%@`,?]/ || $text =~ /: |:$/;
  return $text;
}

sub unescape {
  my ($line, $text) = @_;
  $text =~ s{\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))}{
    defined $4 ? $ESCAPE{$4} // refuse($line, "unknown escape \\$4") : utf8_of($line, hex($1 // $2 // $3)) }ge;
  return $text;
}

sub utf8_of {
  my ($line, $code) = @_;
  refuse($line, 'an escape that is no character') if $code > 0x10ffff || ($code >= 0xd800 && $code <= 0xdfff);
  my $character = chr $code;
  utf8::encode($character);
  return $character;
}

1;
