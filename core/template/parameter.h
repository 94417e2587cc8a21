/* What the reader of templates needs to make and drop a parameter; people's values are core/template/template.h. */
#pragma once

#include "core/template/template.h"

/* Frees a TemplateParameter and what it holds; NULL is ignored. */
void template_parameter_free(TemplateParameter *parameter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateParameter, template_parameter_free)
