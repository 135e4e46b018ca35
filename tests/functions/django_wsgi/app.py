"""A Django project in one file, through apig-wsgi."""

import django
from apig_wsgi import make_lambda_handler
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()


@csrf_exempt
def item(request, number):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select %s + 1", [number])
        following = cursor.fetchone()[0]
    return JsonResponse({"following": following, "method": request.method, "body": request.body.decode()})


urlpatterns = [path("items/<int:number>/", item)]
handler = make_lambda_handler(get_wsgi_application())
