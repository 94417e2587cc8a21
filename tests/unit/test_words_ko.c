/* Every word of the model has its Korean one: a state, column, step or verb that is added without it fails here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/api.h"
#include "core/lifecycle.h"
#include "core/step.h"
#include "core/words.h"

static int missing;

static void need(bool there, const char *what, const char *of)
{
  if (there)
    return;
  print_message("core/words.def has no row for %s \"%s\"\n", of, what);
  missing++;
}

static void done(void)
{
  if (missing)
    fail_msg("%d words are missing", missing);
}

static void every_noun_has_its_word(void **state)
{
  missing = 0;
  for (Noun n = 0; n < N_NOUNS; n++)
    need(word_has_noun(schemas[n].noun), schemas[n].noun, "the noun");
  done();
}

static void every_column_has_its_title(void **state)
{
  static const char *const heads[] = { "name", "generation", "created", "changed", "desktops", "vcpus_used", "vcpus_total", "memory_used_mib",
                                       "memory_total_mib", "huge_used_mib", "huge_free_mib" };
  missing = 0;
  for (Noun n = 0; n < N_NOUNS; n++)
    for (int i = 0; i < schemas[n].n_fields; i++) {
      const Field *f = &schemas[n].fields[i];
      need(f->flags & F_SECRET || word_column(f->name, LANG_KO), f->name, schemas[n].noun);
    }
  for (size_t i = 0; i < G_N_ELEMENTS(heads); i++)
    need(word_column(heads[i], LANG_KO), heads[i], "the column");
  assert_null(word_column("state", LANG_EN));
  done();
}

/* The lists of every field of the model: none can be forgotten here. */
static void every_value_has_its_word(void **state)
{
  int lists = 0;
  missing = 0;
  for (Noun n = 0; n < N_NOUNS; n++)
    for (int i = 0; i < schemas[n].n_fields; i++) {
      const EnumNames *names = schemas[n].fields[i].names;
      lists += names != NULL;
      for (int v = 0; names && v < names->n; v++)
        need(word_has_value(names, names->names[v]), names->names[v], schemas[n].fields[i].name);
    }
  assert_true(lists > 12);
  done();
}

static void every_step_has_its_word(void **state)
{
  missing = 0;
  for (StepKind k = 0; k < N_STEPS; k++)
    need(!step_rows[k].name || word_has_step(step_rows[k].name), step_rows[k].name, "the step");
  done();
}

static void every_move_has_its_word(void **state)
{
  const EnumNames *moves[] = { &desktop_move_names, &session_move_names, &host_move_names };
  missing = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(moves); i++)
    for (int m = 0; m < moves[i]->n; m++)
      need(word_has_verb(moves[i]->names[m]), moves[i]->names[m], "the move");
  done();
}

/* ── what they make of refusals ───────────────────────────────────────────── */

static void refusals_are_korean_throughout(void **state)
{
  static const struct { Reason reason; const char *pairs[7], *korean; } rows[] = {
    { REASON_NO_TRANSITION, { "kind", "host", "state", "up", "move", "fence" }, "정상 상태의 호스트에는 \"꺼짐 선언\" 동작이 없습니다" },
    { REASON_NO_TRANSITION, { "kind", "desktop", "state", "used", "move", "reset" }, "사용 중 상태의 데스크톱에는 \"초기화\" 동작이 없습니다" },
    { REASON_DOMAIN_STATE, { "what", "reset", "domain", "d", "state", "off" }, "\"d\"에 \"리셋\" 동작을 할 수 없습니다: 현재 꺼짐" },
    { REASON_NOT_FOUND, { "kind", "pool", "name", "x" }, "풀 \"x\"이(가) 없습니다" },
    { REASON_BAD_VALUE, { "field", "spare", "value", "5", "limit", "at most max, which is 2" }, "spare 값 \"5\"은(는) 허용되지 않습니다: max(2) 이하" },
    { REASON_BAD_VALUE, { "field", "spare", "value", "x", "limit", "a whole number from 0 to 100000" },
      "spare 값 \"x\"은(는) 허용되지 않습니다: 0부터 100000까지의 정수" },
    { REASON_BAD_VALUE, { "field", "f", "value", "x", "limit", "no row knows this" }, "f 값 \"x\"은(는) 허용되지 않습니다: no row knows this" },
    { REASON_NO_PLACE, { "pool", "p", "hosts", "host h1 is draining; 3 hosts, at best: host h2 has 4 of 64 vCPUs free, 8 wanted" },
      "풀 \"p\"의 데스크톱을 더 둘 호스트가 없습니다: 호스트 h1의 상태: 비우는 중; 3대의 호스트, 최선: 호스트 h2: vCPU 64 중 4 남음, 8 필요" },
    { REASON_NO_PLACE, { "pool", "p", "hosts", "host h1 is not one of the 2 that may be used" },
      "풀 \"p\"의 데스크톱을 더 둘 호스트가 없습니다: 호스트 h1은(는) 사용할 수 있는 2대에 들지 않습니다" },
    { REASON_NO_PLACE, { "pool", "p", "hosts", "there is no host" }, "풀 \"p\"의 데스크톱을 더 둘 호스트가 없습니다: 호스트가 없습니다" },
    { REASON_NO_PLACE, { "pool", "p", "hosts", "host h1 is up; 3 more hosts for other reasons" },
      "풀 \"p\"의 데스크톱을 더 둘 호스트가 없습니다: 호스트 h1의 상태: 정상; 그 밖의 이유로 호스트 3대 더" },
    { REASON_NO_ROOM, { "pool", "p", "counts", "memory 180, unreachable 20, not for this pool 1" },
      "지금은 풀 \"p\"의 데스크톱을 더 둘 자리가 없습니다. 사유별 호스트 수: 메모리 180, 연결 안 됨 20, 이 풀에 맞지 않음 1" },
    { REASON_NO_ROOM, { "pool", "p", "counts", "there is no host" },
      "지금은 풀 \"p\"의 데스크톱을 더 둘 자리가 없습니다. 사유별 호스트 수: 호스트가 없습니다" },
    { REASON_PLACE_STATE, { "host", "h1", "word", "unreachable" }, "호스트 h1의 상태: 연결 안 됨" },
    { REASON_NO_TRANSITION, { "kind", "task", "state", "done", "move", "be cancelled" }, "완료 상태의 작업에는 \"취소\" 동작이 없습니다" },
    { REASON_GPU_CARD_BAD, { "gpu", "g-1", "host", "h1", "state", "gone" }, "호스트 \"h1\"의 카드 g-1 상태: 사라짐" },
    { REASON_GPU_NOT_OURS, { "what", "f", "host", "h1", "detail", "it has another type" }, "호스트 \"h1\"의 f은(는) Sarang의 것이 아닙니다: 다른 유형임" },
    { REASON_CANCELLED, { "what", "destroy" }, "취소되었습니다: 삭제" },
    { REASON_DESKTOP_BUSY, { "desktop", "d-1", "task", "t-1", "kind", "reset" }, "데스크톱 \"d-1\"에서 작업 t-1 (초기화)이(가) 진행 중입니다" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = error_new_from_pairs(reason_wire(rows[i].reason), rows[i].pairs);
    g_autofree char *korean = error_text(err, LANG_KO);
    assert_string_equal(korean, rows[i].korean);
    g_autofree char *english = error_text(err, LANG_EN);
    assert_non_null(strstr(english, rows[i].pairs[1]));
  }
}

/* What the drivers of cards say is said in Korean too: each text that stands in their code. */
static void words_of_cards_are_korean_throughout(void **state)
{
  static const char *const files[] = { "gpu", "mdev", "mig", "sriov", "vendor_vf", "whole" };
  g_autoptr(GRegex) calls = g_regex_new("gpu_(full|not_ours|refused)\\([^;]*;", 0, 0, NULL);
  g_autoptr(GRegex) texts = g_regex_new("\"([^\"%]+)\"", 0, 0, NULL);
  int looked = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autofree char *path = g_strdup_printf("drivers/gpu/%s.c", files[i]), *code = NULL;
    g_autoptr(GMatchInfo) call = NULL;
    assert_true(g_file_get_contents(path, &code, NULL, NULL));
    for (g_regex_match(calls, code, 0, &call); g_match_info_matches(call); g_match_info_next(call, NULL)) {
      g_autofree char *said = g_match_info_fetch(call, 0);
      g_autoptr(GMatchInfo) text = NULL;
      for (g_regex_match(texts, said, 0, &text); g_match_info_matches(text); g_match_info_next(text, NULL)) {
        g_autofree char *english = g_match_info_fetch(text, 1);
        const char *const pairs[] = { "host", "h1", "what", english, "detail", english, NULL };
        g_autoptr(GError) err = error_new_from_pairs(reason_wire(REASON_GPU_REFUSED), pairs);
        g_autofree char *korean = error_text(err, LANG_KO);
        if (strstr(english, " ") && ++looked && strstr(korean, english))
          fail_msg("%s: \"%s\" has no row in core/words.def", path, english);
      }
    }
  }
  assert_true(looked > 15);
}

static void saved_desktop_s_reason_is_korean_throughout(void **state)
{
  const char *const pairs[] = { "desktop", "d-1", "type", "t", "gpu", "g-1", "host", "h1", "detail", "card g-1 of host \"h1\" is gone", NULL };
  g_autoptr(GError) err = error_new_from_pairs(reason_wire(REASON_GPU_SAVED), pairs);
  g_autofree char *korean = error_text(err, LANG_KO), *fix = error_fix(err, LANG_KO);
  assert_non_null(strstr(korean, "호스트 \"h1\"의 카드 g-1 상태: 사라짐"));
  assert_non_null(strstr(fix, "sarang desktop discard-saved d-1"));
}

static void the_same_word_of_two_lists_is_told_apart(void **state)
{
  assert_string_equal(word_value(&power_verb_names, "reset", LANG_KO), "리셋");
  assert_string_equal(word_value(&task_kind_names, "reset", LANG_KO), "초기화");
  assert_string_equal(word_value(&pool_state_names, "ready", LANG_KO), "정상");
  assert_string_equal(word_value(&image_state_names, "ready", LANG_KO), "준비됨");
  assert_string_equal(word_value(&pool_state_names, "ready", LANG_EN), "ready");
  assert_string_equal(word_noun("nothing of ours", LANG_KO), "nothing of ours");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_noun_has_its_word),
    cmocka_unit_test(every_column_has_its_title),
    cmocka_unit_test(every_value_has_its_word),
    cmocka_unit_test(every_step_has_its_word),
    cmocka_unit_test(every_move_has_its_word),
    cmocka_unit_test(refusals_are_korean_throughout),
    cmocka_unit_test(words_of_cards_are_korean_throughout),
    cmocka_unit_test(saved_desktop_s_reason_is_korean_throughout),
    cmocka_unit_test(the_same_word_of_two_lists_is_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
